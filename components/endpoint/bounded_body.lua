-- A filter of HAProxy: `filter lua.bounded-body BYTES` breaks off a request whose body has more bytes. One that comes in
-- chunks says no length beforehand. The client gets HTTP 400 ("Lua API", class Filter: an error of the script ends the
-- stream).

local BoundedBody = {}
BoundedBody.id = "Bound of a request's body"
BoundedBody.flags = filter.FLT_CFG_FL_HTX
BoundedBody.__index = BoundedBody

function BoundedBody:new()
    return setmetatable({ most = self.most, seen = 0 }, BoundedBody)
end

function BoundedBody:start_analyze(_, channel)
    if not channel:is_resp() then
        filter.register_data_filter(self, channel)
    end
end

function BoundedBody:http_payload(_, message)
    self.seen = self.seen + message:input()
    -- HAProxy counts the end of the chunks as a byte.
    if self.seen > self.most + 1 then
        error("the body has more than " .. self.most .. " bytes")
    end
end

core.register_filter("bounded-body", BoundedBody, function(class, arguments)
    class.most = tonumber(arguments[1])
    return class
end)

-- A converter of HAProxy: `lua.seconds` makes seconds since the epoch of a time as `ssl_f_notafter` writes it, YYMMDDhhmmssZ
-- in UTC. HAProxy leaves the century out, which is the twenty-first ("configuration.txt", ssl_f_notafter).

core.register_converters("seconds", function(text)
    local part = { text:match("^(%d%d)(%d%d)(%d%d)(%d%d)(%d%d)(%d%d)Z$") }
    for place, digits in ipairs(part) do
        part[place] = tonumber(digits)
    end
    local year, month, day, hour, minute, second = table.unpack(part)
    -- A year begins in March here, so that a leap day is its last. Up to 2100 every fourth year has one.
    local months = (month + 9) % 12
    local years = year - (month <= 2 and 1 or 0)
    local days = 11017 + 365 * years + years // 4 + (153 * months + 2) // 5 + day - 1
    return tostring(((days * 24 + hour) * 60 + minute) * 60 + second)
end)

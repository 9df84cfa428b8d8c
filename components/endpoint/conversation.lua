-- A fetch of HAProxy for a backend's rules: `lua.engine_of_conversation(HEADER)` names the server to which the conversation
-- belongs that this header of a request names. It says nothing where no server takes requests.
--
-- Each conversation has an order of the servers, by a hash of both names (rendezvous hashing: Thaler, Ravishankar, "Using
-- Name-Based Mappings to Increase Hit Rates", 1998). It belongs to the first one that takes requests and is not
-- overloaded. So all proxies agree without a word, and a server that comes or goes moves only conversations of its own.
-- A server is overloaded with one and a half times its share of the requests under way ("Consistent Hashing with Bounded
-- Loads", Mirrokni, Thorup, Zadimoghaddam, 2016), but never with fewer than four, which vLLM answers together. HAProxy's own
-- `hash-balance-factor` bounds backends that divide all of their requests by a hash.

local BOUND = 1.5
local FEW = 4

-- HAProxy 2.6 says 1, later ones may say true.
local function yes(value)
    return value == 1 or value == true
end

local function takes_requests(txn, name, server)
    return yes(txn.f:srv_is_up(name)) and not yes(server:is_draining()) and txn.f:srv_conn_free(name) > 0
end

core.register_fetches("engine_of_conversation", function(txn, header)
    local conversation = txn.f:req_fhdr(header)
    local found, under_way = {}, 1
    for name, server in pairs(core.backends[txn.f:be_name()].servers) do
        if takes_requests(txn, name, server) then
            local requests = txn.f:srv_conn(name)
            under_way = under_way + requests
            table.insert(found, { name = name, requests = requests, rank = txn.c:xxh32(conversation .. "\n" .. name) })
        end
    end
    table.sort(found, function(one, other)
        return one.rank > other.rank
    end)
    for _, server in ipairs(found) do
        if server.requests < math.max(FEW, BOUND * under_way / #found) then
            return server.name
        end
    end
end)

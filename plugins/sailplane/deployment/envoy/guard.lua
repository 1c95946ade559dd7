-- Refuses requests of pages of other origins, and of foreign hosts: nothing else keeps a page that is open in a browser on
-- this machine from a router that asks for no token. The rules are those of `origins.py`, but a link on a foreign page is
-- refused as well, because this API has no pages. Above this stand EXACT, SUFFIXES and ANY: the names of hosts that are
-- allowed.

local OWN = { ["same-origin"] = true, ["none"] = true }
local PORTS = { http = ":80", https = ":443" }

local function without_port(host, port)
  return host:sub(-#port) == port and host:sub(1, -#port - 1) or host
end

local function answers_to(name)
  if ANY or EXACT[name] then
    return true
  end
  for _, suffix in ipairs(SUFFIXES) do
    if name:sub(-#suffix) == suffix then
      return true
    end
  end
  return false
end

local function is_own(origin, host)
  local scheme, place = origin:lower():match("^(https?)://(.+)$")
  if not scheme then
    return false
  end
  local port = PORTS[scheme]
  if without_port(place, port) == without_port(host, port) then
    return true
  end
  return not ANY and place ~= "localhost" and place ~= "127.0.0.1" and answers_to(place)
end

-- Of a host with or without a port; nil if there is none.
local function name_of(host)
  local name = host:gsub(":%d+$", "")
  return name:match("^%[[%x:.]+%]$") or name:match("^[^%s:/?#@%[%]]+$")
end

local function refusal(headers)
  local host = (headers:get(":authority") or ""):lower()
  local name = name_of(host)
  if not name or not answers_to(name) then
    return "The host '" .. host:sub(1, 100) .. "' is not one of this router's."
  end
  local origin, site = headers:get("origin"), headers:get("sec-fetch-site")
  if origin and not is_own(origin, host) then
    return "A page of the origin '" .. origin:sub(1, 100) .. "' made this request."
  end
  if site and not OWN[site:lower()] then
    return "A page of another origin made this request."
  end
end

local function quoted(text)
  return '"' .. text:gsub('[%c"\\]', " ") .. '"'
end

local function refuse(request, reason)
  reason = reason .. " SAILPLANE_ALLOWED_HOSTS adds names of hosts; with SAILPLANE_TOKEN_FILE a token decides."
  if (request:headers():get("content-type") or ""):find("^application/grpc") then
    local refused = { [":status"] = "200", ["content-type"] = "application/grpc", ["grpc-status"] = "7" }
    refused["grpc-message"] = reason:gsub("[%c%%]", " ")
    request:respond(refused, "")
    return
  end
  local status = '{"code": 403, "info": ' .. quoted(reason) .. ', "status": "FAILURE"}'
  local body = '{"error": ' .. quoted(reason) .. ', "status": ' .. status .. "}"
  request:respond({ [":status"] = "403", ["content-type"] = "application/json" }, body)
end

function envoy_on_request(request)
  local headers = request:headers()
  local reason = refusal(headers)
  if reason then
    refuse(request, reason)
    return
  end
  -- A model server answers to local names alone, so that no page reaches it past the router.
  headers:replace(":authority", "localhost")
  headers:remove("origin")
  headers:remove("sec-fetch-site")
end

-- Refuses requests from pages of other origins, and requests for unknown hosts. Without a token, nothing else protects
-- the router from a page that is open in a browser on this machine. The rules are those of `origins.py`, but a link on a
-- foreign page is refused too, because this API has no pages. config.py puts the allowed host names before this code, as
-- EXACT, SUFFIXES and ANY.

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
  local scheme, origin_host = origin:lower():match("^(https?)://(.+)$")
  if not scheme then
    return false
  end
  local port = PORTS[scheme]
  if without_port(origin_host, port) == without_port(host, port) then
    return true
  end
  return not ANY and origin_host ~= "localhost" and origin_host ~= "127.0.0.1" and answers_to(origin_host)
end

-- The name in a host with or without a port; nil if it is not valid.
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
  -- A model server accepts only local names, so that no page reaches it without the router.
  headers:replace(":authority", "localhost")
  headers:remove("origin")
  headers:remove("sec-fetch-site")
end

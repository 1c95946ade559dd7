-- Gives a request that has none the header by which it is assigned to a version, from a field of its JSON body: of
-- meta.tags or parameters, else of its first row; feedback has them in its request, and the tags in its response. Lua
-- has no JSON here: what is needed is read where it stands, and a body without that field, or without sense, goes on as
-- it came.

local HEADER = "x-sailplane-key"
local LONGEST_BODY = 65536
local LONGEST_VALUE = 256
local QUOTE, BACKSLASH, BRACE, END_OF_BRACE, BRACKET, END_OF_BRACKET = 34, 92, 123, 125, 91, 93

-- All places are of the first character, and counted from 1; nil goes in where there is none, and comes out.

-- Byte by byte, which LuaJIT compiles; patterns it does not.
local function end_of_string(text, at)
  local place, byte = at
  repeat
    place = byte == BACKSLASH and place + 2 or place + 1
    byte = text:byte(place)
  until not byte or byte == QUOTE
  return byte and place
end

local function end_of_container(text, at)
  local depth, place, byte = 0, at, text:byte(at)
  while byte do
    if byte == QUOTE then
      place = end_of_string(text, place) or #text
    elseif byte == BRACE or byte == BRACKET then
      depth = depth + 1
    elseif byte == END_OF_BRACE or byte == END_OF_BRACKET then
      depth = depth - 1
    end
    if depth == 0 then
      return place
    end
    place = place + 1
    byte = text:byte(place)
  end
end

local function end_of_value(text, at)
  local byte = text:byte(at)
  if byte == QUOTE then
    return end_of_string(text, at)
  elseif byte == BRACE or byte == BRACKET then
    return end_of_container(text, at)
  end
  local after = text:find("[%s,%]}]", at)
  return after and after > at and after - 1 or nil
end

-- What comes after the comma that follows that value.
local function after_value(text, at)
  local last = at and end_of_value(text, at)
  return last and text:match("^%s*,%s*()", last + 1)
end

-- The places of an object's values, by name.
local function members(text, object)
  local found = {}
  local key = object and text:byte(object) == BRACE and text:find("%S", object + 1)
  while key and text:byte(key) == QUOTE do
    local last = end_of_string(text, key)
    local value = last and text:match("^%s*:%s*()", last + 1)
    if value then
      found[text:sub(key + 1, last - 1)] = value
    end
    key = after_value(text, value)
  end
  return found
end

local function element(text, array, number)
  if not array or text:byte(array) ~= BRACKET then
    return nil
  end
  local at = text:find("%S", array + 1)
  for _ = 2, number do
    at = after_value(text, at)
  end
  return at
end

-- A string without its quotes, a number or a boolean as it is written.
local function scalar(text, at)
  local last = at and end_of_value(text, at)
  if not last then
    return nil
  elseif text:byte(at) == QUOTE then
    return text:sub(at + 1, last - 1)
  end
  local value = text:sub(at, last)
  return value ~= "null" and value:find("^[%w.+-]+$") and value or nil
end

local function in_json_data(text, records, name)
  return scalar(text, members(text, element(text, records, 1) or records)[name])
end

local function in_data(text, data, name)
  local given = members(text, data)
  local number, column = 1, element(text, given.names, 1)
  while column and scalar(text, column) ~= name do
    number, column = number + 1, after_value(text, column)
  end
  if column then
    local values = element(text, given.ndarray, 1) or members(text, given.tensor).values
    return scalar(text, element(text, values, number))
  end
end

local function in_inputs(text, inputs, name)
  local input = element(text, inputs, 1)
  while input do
    local given = members(text, input)
    if scalar(text, given.name) == name then
      local first = element(text, given.data, 1)
      return scalar(text, element(text, first, 1) or first)
    end
    input = after_value(text, input)
  end
end

local function in_message(text, message, name)
  local named = members(text, message.meta).tags or message.parameters
  return scalar(text, members(text, named)[name])
    or in_json_data(text, message.jsonData, name)
    or in_data(text, message.data, name)
    or in_inputs(text, message.inputs, name)
end

local function value_of(text, name)
  local message = members(text, text:find("%S"))
  return in_message(text, message, name)
    or in_message(text, members(text, message.request), name)
    or in_message(text, members(text, message.response), name)
end

function envoy_on_request(request)
  local headers = request:headers()
  local given, length = headers:get(HEADER), headers:get("content-length")
  length = length and tonumber(length)
  -- A body that comes in pieces, is long, or is compressed is not held back.
  if given or not length or length == 0 or length > LONGEST_BODY or headers:get("content-encoding") then
    return
  end
  local body = request:body()
  local value = body and value_of(body:getBytes(0, body:length()), request:filterContext():get("field"))
  if value and value ~= "" and #value <= LONGEST_VALUE and not value:find("%c") then
    -- Those from before the body came are gone.
    request:headers():add(HEADER, value)
  end
end

-- Sets the header that assigns a request to a version, unless the client has set it. The value is that of a field in the
-- JSON body: in meta.tags or parameters, or else in the first row. Feedback has them in its request, and the tags also in
-- its response. Envoy's Lua has no JSON parser, so this code scans the text for the field. A body without the field, or
-- with invalid JSON, passes unchanged.

local HEADER = "x-sailplane-key"
local LONGEST_BODY = 65536
local LONGEST_VALUE = 256
local QUOTE, BACKSLASH, BRACE, END_OF_BRACE, BRACKET, END_OF_BRACKET = 34, 92, 123, 125, 91, 93

-- The position of a value is that of its first character, counted from 1. A function that gets nil for a position, or
-- finds nothing, returns nil.

-- Reads byte by byte, because LuaJIT compiles such a loop but no patterns.
local function end_of_string(text, start)
  local position, byte = start
  repeat
    position = byte == BACKSLASH and position + 2 or position + 1
    byte = text:byte(position)
  until not byte or byte == QUOTE
  return byte and position
end

local function end_of_container(text, start)
  local depth, position, byte = 0, start, text:byte(start)
  while byte do
    if byte == QUOTE then
      position = end_of_string(text, position) or #text
    elseif byte == BRACE or byte == BRACKET then
      depth = depth + 1
    elseif byte == END_OF_BRACE or byte == END_OF_BRACKET then
      depth = depth - 1
    end
    if depth == 0 then
      return position
    end
    position = position + 1
    byte = text:byte(position)
  end
end

local function end_of_value(text, start)
  local byte = text:byte(start)
  if byte == QUOTE then
    return end_of_string(text, start)
  elseif byte == BRACE or byte == BRACKET then
    return end_of_container(text, start)
  end
  local after = text:find("[%s,%]}]", start)
  return after and after > start and after - 1 or nil
end

-- The position after the comma that follows the value.
local function after_value(text, start)
  local last = start and end_of_value(text, start)
  return last and text:match("^%s*,%s*()", last + 1)
end

-- The positions of an object's values, by name.
local function members(text, object)
  local positions = {}
  local key = object and text:byte(object) == BRACE and text:find("%S", object + 1)
  while key and text:byte(key) == QUOTE do
    local last = end_of_string(text, key)
    local value = last and text:match("^%s*:%s*()", last + 1)
    if value then
      positions[text:sub(key + 1, last - 1)] = value
    end
    key = after_value(text, value)
  end
  return positions
end

local function element(text, array, number)
  if not array or text:byte(array) ~= BRACKET then
    return nil
  end
  local position = text:find("%S", array + 1)
  for _ = 2, number do
    position = after_value(text, position)
  end
  return position
end

-- A string without its quotes; a number or a boolean as it is written.
local function scalar(text, start)
  local last = start and end_of_value(text, start)
  if not last then
    return nil
  elseif text:byte(start) == QUOTE then
    return text:sub(start + 1, last - 1)
  end
  local value = text:sub(start, last)
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
  -- A body that is chunked, long or compressed is not buffered.
  if given or not length or length == 0 or length > LONGEST_BODY or headers:get("content-encoding") then
    return
  end
  local body = request:body()
  local value = body and value_of(body:getBytes(0, body:length()), request:filterContext():get("field"))
  if value and value ~= "" and #value <= LONGEST_VALUE and not value:find("%c") then
    -- The headers object from before the body is no longer valid, so ask for it again.
    request:headers():add(HEADER, value)
  end
end

-- SPDX-License-Identifier: GPL-3.0-or-later
-- What a script does: tables, strings, closures; all garbage soon.
local rounds = tonumber(arg[1]) or 6

local function tree(depth)
	if depth == 0 then return {} end
	return {left = tree(depth - 1), right = tree(depth - 1)}
end

local function size(t)
	return t.left and 1 + size(t.left) + size(t.right) or 1
end

local function words(n)
	local count, list = {}, {}
	for i = 1, n do
		local word = "w" .. i * 7919 % 10007 .. ("x"):rep(i % 13)
		count[word] = (count[word] or 0) + 1
	end
	for word, k in pairs(count) do list[#list + 1] = word .. "=" .. k end
	table.sort(list)
	return #table.concat(list, ",")
end

local function counters(n)
	local sum, list = 0, {}
	for i = 1, n do
		local k = i
		list[i % 1000] = function() k = k + 1; return k end
		sum = sum + list[i % 1000]()
	end
	return sum
end

local total = 0
for _ = 1, rounds do
	total = total + size(tree(15)) + words(40000) + counters(60000)
end
print(string.format("lua: %d", total))

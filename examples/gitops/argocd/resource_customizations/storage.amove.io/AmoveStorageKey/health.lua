-- Argo CD's health of an AmoveBucket or an AmoveStorageKey, by the conditions that the operator keeps.
local status = obj.status or {}
local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end

local function says(kind, value)
  return conditions[kind] ~= nil and conditions[kind].status == value
end

local function as(health, kind)
  local condition = conditions[kind]
  return { status = health, message = condition.reason .. ": " .. (condition.message or "") }
end

if status.observedGeneration ~= obj.metadata.generation or conditions.Ready == nil then
  return { status = "Progressing", message = "The operator has not looked at this spec yet" }
end
if says("Synced", "False") and conditions.Synced.reason == "Paused" then
  return as("Suspended", "Synced")
end
if says("Stalled", "True") then
  return as("Degraded", "Stalled")
end
if says("Reconciling", "True") then
  return as("Progressing", says("Synced", "False") and "Synced" or "Reconciling")
end
if not says("Ready", "True") then
  return as("Progressing", "Ready")
end
-- Usable. What holds up the operator's work is told, and makes no application unhealthy.
return as("Healthy", says("Synced", "False") and "Synced" or "Ready")

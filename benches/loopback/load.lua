-- Requests with the credentials of a file in turn, for wrk. The last line of its output is
-- `result <requests> <duration in µs> <p99 in µs> <failed requests>`.
local requests, index = {}, 0

init = function()
  for credential in io.lines(os.getenv("CREDENTIALS")) do
    requests[#requests + 1] = wrk.format("GET", nil, { ["Authorization"] = "Bearer " .. credential })
  end
end

request = function()
  index = index % #requests + 1
  return requests[index]
end

done = function(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format("result %d %d %d %d\n", summary.requests, summary.duration, latency:percentile(99), failed))
end

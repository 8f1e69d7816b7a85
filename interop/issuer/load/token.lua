-- The token request of `bench`, for wrk.
wrk.method = "POST"
wrk.body = os.getenv("FORM")
wrk.headers["Authorization"] = "Basic " .. os.getenv("BASIC")
wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"

done = function(summary)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format("result %d %d %d\n", summary.requests, summary.duration, failed))
end

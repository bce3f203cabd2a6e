-- For wrk: another path with each request if VARYING is 1, and one line of JSON at the end, with the quantiles that bench/latency.py names (microseconds).

if os.getenv("VARYING") == "1" then
    local number = 0
    function request()
        number = number + 1
        return wrk.format(nil, "/" .. number)
    end
end

function done(summary, latency, _requests)
    local quantiles = {}
    for i = 0, 110 do
        local percent = i < 100 and i or i < 109 and 99 + (i - 99) / 10 or i == 109 and 99.99 or 100
        quantiles[#quantiles + 1] = string.format("%.2f",
            percent == 0 and latency.min or percent == 100 and latency.max or latency:percentile(percent))
    end
    local errors = summary.errors
    io.write(string.format(
        '\nRESULT {"count": %d, "seconds": %.6f, "failed": %d, "quantiles": [%s]}\n',
        summary.requests, summary.duration / 1e6,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout, table.concat(quantiles, ", ")))
end

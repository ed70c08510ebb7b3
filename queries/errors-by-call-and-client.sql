-- Question: Which calls fail, by which clients?
-- Columns:
--   call            method and URL with ids replaced by #
--   client          kind of client
--   calls           how often it was made
--   client_errors   of these, with a status of 400 to 499
--   server_errors   of these, with a status of 500 or more
--   failed_percent  share of calls with a status of 400 or more
--   statuses        each status of 400 or more, and how often it was answered
WITH parameters AS (
    SELECT
        DATE '2023-12-30' AS first_day, -- the period, both days included, UTC
        DATE '2024-01-05' AS last_day
), calls AS (
    SELECT access_record.*
    FROM access_record CROSS JOIN parameters
    WHERE year BETWEEN date_format(first_day, '%Y') AND date_format(last_day, '%Y')
        AND year || '-' || month || '-' || day BETWEEN CAST(first_day AS varchar) AND CAST(last_day AS varchar)
)
SELECT
    normalized_method_signature AS call,
    client,
    count(*) AS calls,
    count_if(response_status BETWEEN 400 AND 499) AS client_errors,
    count_if(response_status >= 500) AS server_errors,
    round(1e2 * count_if(response_status >= 400) / count(*), 2) AS failed_percent,
    histogram(response_status) FILTER (WHERE response_status >= 400) AS statuses
FROM calls
GROUP BY normalized_method_signature, client
HAVING count_if(response_status >= 400) > 0
ORDER BY server_errors DESC, client_errors DESC, call, client
LIMIT 100

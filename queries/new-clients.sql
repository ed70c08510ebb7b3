-- Question: Which clients, or versions of clients, appeared in the period?
-- Columns:
--   client          kind of client
--   client_version  its version; null where the client states none
--   user_agent      an example of how it names itself: the first in the order of the alphabet
--   calls           calls made
--   users           users who signed in and called with it
--   first_call      when it was first seen, UTC
--   failed_percent  share of calls with a status of 400 or more
WITH parameters AS (
    SELECT
        DATE '2023-12-30' AS first_day, -- the period, both days included, UTC
        DATE '2024-01-05' AS last_day,
        DATE '2023-12-16' AS first_day_before, -- what it is compared with
        DATE '2023-12-29' AS last_day_before
), calls AS (
    SELECT access_record.*, true AS recent
    FROM access_record CROSS JOIN parameters
    WHERE year BETWEEN date_format(first_day, '%Y') AND date_format(last_day, '%Y')
        AND year || '-' || month || '-' || day BETWEEN CAST(first_day AS varchar) AND CAST(last_day AS varchar)
    UNION ALL
    SELECT access_record.*, false AS recent
    FROM access_record CROSS JOIN parameters
    WHERE year BETWEEN date_format(first_day_before, '%Y') AND date_format(last_day_before, '%Y')
        AND year || '-' || month || '-' || day BETWEEN CAST(first_day_before AS varchar) AND CAST(last_day_before AS varchar)
)
SELECT
    client,
    client_version,
    min(user_agent) AS user_agent,
    count(*) AS calls,
    count(DISTINCT user_id) FILTER (WHERE user_id <> 273950) AS users,
    CAST(min("timestamp") AS timestamp(3)) AS first_call,
    round(1e2 * count_if(response_status >= 400) / count(*), 2) AS failed_percent
FROM calls
GROUP BY client, client_version
HAVING count_if(NOT recent) = 0
ORDER BY calls DESC, client, client_version

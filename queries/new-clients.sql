-- Question: Which clients, or versions of clients, appeared in the period?
-- Columns:
--   client          kind of client
--   client_version  its version; null where the client states none
--   user_agent      an example of how it names itself: the first in the order of the alphabet
--   calls           calls made
--   users           users who signed in and called with it
--   first_call      when it was first seen, UTC
--   failed_percent  share of calls with a status of 400 or more
-- Parameters:
--   first day, last day: the period, both included, UTC
--   first day before, last day before: the time that the period is compared with
WITH calls AS (
    SELECT *, true AS recent
    FROM access_record
    WHERE year || '-' || month || '-' || day BETWEEN '2023-12-30' AND '2024-01-05' -- parameters: first day, last day
    UNION ALL
    SELECT *, false AS recent
    FROM access_record
    WHERE year || '-' || month || '-' || day BETWEEN '2023-12-16' AND '2023-12-29' -- parameters: first day before, last day before
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

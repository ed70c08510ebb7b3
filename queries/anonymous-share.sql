-- Question: How much of the traffic comes from callers who have not signed in, by client?
-- Columns:
--   client             kind of client; in the first row: all
--   calls              calls made
--   anonymous          of these, by callers who have not signed in (user 273950, or none)
--   anonymous_percent  their share
--   addresses          addresses that these came from
-- Parameters:
--   first day, last day: the period, both included, UTC
WITH calls AS (
    SELECT *
    FROM access_record
    WHERE year || '-' || month || '-' || day BETWEEN '2023-12-30' AND '2024-01-05' -- parameters: first day, last day
)
SELECT
    if(grouping(client) = 1, 'all', client) AS client,
    count(*) AS calls,
    count_if(coalesce(user_id, 273950) = 273950) AS anonymous,
    round(1e2 * count_if(coalesce(user_id, 273950) = 273950) / count(*), 2) AS anonymous_percent,
    count(DISTINCT if(coalesce(user_id, 273950) = 273950, trim(split_part(x_forwarded_for, ',', 1)))) AS addresses
FROM calls
GROUP BY GROUPING SETS ((), (client))
ORDER BY if(client = 'all', 0, 1), calls DESC, client

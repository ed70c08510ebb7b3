-- Question: How much of the traffic comes from callers who have not signed in, by client?
-- Columns:
--   client             kind of client; in the first row: all
--   calls              calls made
--   anonymous          of these, by callers who have not signed in (user 273950, or none)
--   anonymous_percent  their share
--   addresses          addresses that these came from
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
    if(grouping(client) = 1, 'all', client) AS client,
    count(*) AS calls,
    count_if(coalesce(user_id, 273950) = 273950) AS anonymous,
    round(1e2 * count_if(coalesce(user_id, 273950) = 273950) / count(*), 2) AS anonymous_percent,
    count(DISTINCT if(coalesce(user_id, 273950) = 273950, trim(split_part(x_forwarded_for, ',', 1)))) AS addresses
FROM calls
GROUP BY GROUPING SETS ((), (client))
ORDER BY if(client = 'all', 0, 1), calls DESC, client

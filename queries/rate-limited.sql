-- Question: Which callers are turned away because they call too often?
-- Columns:
--   user_id               the user; 273950: those who have not signed in; null: not known
--   client                kind of client
--   client_version        its version
--   calls                 all calls of this user with this client
--   rate_limited          of these, turned away with status 429
--   rate_limited_percent  their share
--   kinds_limited         how many different calls were turned away
--   first_limited         when the first was turned away, UTC
--   last_limited          when the last was turned away, UTC
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
    user_id,
    client,
    client_version,
    count(*) AS calls,
    count_if(response_status = 429) AS rate_limited,
    round(1e2 * count_if(response_status = 429) / count(*), 2) AS rate_limited_percent,
    count(DISTINCT normalized_method_signature) FILTER (WHERE response_status = 429) AS kinds_limited,
    CAST(min("timestamp") FILTER (WHERE response_status = 429) AS timestamp(3)) AS first_limited,
    CAST(max("timestamp") FILTER (WHERE response_status = 429) AS timestamp(3)) AS last_limited
FROM calls
GROUP BY user_id, client, client_version
HAVING count_if(response_status = 429) > 0
ORDER BY rate_limited DESC, user_id, client, client_version

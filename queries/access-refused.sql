-- Question: Who is refused access most, and how far did they get?
-- Columns:
--   user_id           the user; 273950: those who have not signed in; null: not known
--   address           where the calls came from, as the first proxy saw it
--   refused           calls answered by status 401 or 403
--   entities_refused  how many entities these named
--   calls             all calls of this user from this address
--   first_refused     the first refusal, UTC
--   last_refused      the last refusal, UTC
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
    trim(split_part(x_forwarded_for, ',', 1)) AS address,
    count_if(response_status IN (401, 403)) AS refused,
    count(DISTINCT entity_id) FILTER (WHERE response_status IN (401, 403)) AS entities_refused,
    count(*) AS calls,
    CAST(min("timestamp") FILTER (WHERE response_status IN (401, 403)) AS timestamp(3)) AS first_refused,
    CAST(max("timestamp") FILTER (WHERE response_status IN (401, 403)) AS timestamp(3)) AS last_refused
FROM calls
GROUP BY user_id, trim(split_part(x_forwarded_for, ',', 1))
HAVING count_if(response_status IN (401, 403)) > 0
ORDER BY refused DESC, user_id, address
LIMIT 50

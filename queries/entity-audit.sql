-- Question: Who touched one entity, and how?
-- Columns:
--   user_id     the user; 273950: those who have not signed in; null: not known
--   call        method and URL with ids replaced by #
--   calls       how often
--   refused     of these, answered by status 401 or 403
--   clients     the kinds of client used
--   addresses   addresses that the calls came from
--   first_call  the first call, UTC
--   last_call   the last call, UTC
WITH parameters AS (
    SELECT
        DATE '2023-12-30' AS first_day, -- the period, both days included, UTC
        DATE '2024-01-05' AS last_day,
        51234567 AS wanted_entity -- without syn
), calls AS (
    SELECT access_record.*
    FROM access_record CROSS JOIN parameters
    WHERE year BETWEEN date_format(first_day, '%Y') AND date_format(last_day, '%Y')
        AND year || '-' || month || '-' || day BETWEEN CAST(first_day AS varchar) AND CAST(last_day AS varchar)
        AND entity_id = wanted_entity
)
SELECT
    user_id,
    normalized_method_signature AS call,
    count(*) AS calls,
    count_if(response_status IN (401, 403)) AS refused,
    array_sort(array_agg(DISTINCT client)) AS clients,
    count(DISTINCT trim(split_part(x_forwarded_for, ',', 1))) AS addresses,
    CAST(min("timestamp") AS timestamp(3)) AS first_call,
    CAST(max("timestamp") AS timestamp(3)) AS last_call
FROM calls
GROUP BY user_id, normalized_method_signature
ORDER BY user_id, call

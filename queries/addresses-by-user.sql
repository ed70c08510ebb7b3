-- Question: Which accounts are used from many addresses: shared, or stolen?
-- Columns:
--   user_id       the user
--   addresses     addresses that the calls came from, as the first proxy saw them
--   calls         calls made
--   auth_methods  how the calls were authenticated
--   refused       calls answered by status 401 or 403
WITH parameters AS (
    SELECT
        DATE '2023-12-30' AS first_day, -- the period, both days included, UTC
        DATE '2024-01-05' AS last_day,
        3 AS least_addresses -- users of fewer are left out
), calls AS (
    SELECT access_record.*
    FROM access_record CROSS JOIN parameters
    WHERE year BETWEEN date_format(first_day, '%Y') AND date_format(last_day, '%Y')
        AND year || '-' || month || '-' || day BETWEEN CAST(first_day AS varchar) AND CAST(last_day AS varchar)
)
SELECT
    user_id,
    count(DISTINCT trim(split_part(x_forwarded_for, ',', 1))) AS addresses,
    count(*) AS calls,
    array_sort(array_agg(DISTINCT auth_method)) AS auth_methods,
    count_if(response_status IN (401, 403)) AS refused
FROM calls
WHERE user_id <> 273950
GROUP BY user_id
HAVING count(DISTINCT trim(split_part(x_forwarded_for, ',', 1))) >= (SELECT least_addresses FROM parameters)
ORDER BY addresses DESC, user_id

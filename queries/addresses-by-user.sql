-- Question: Which accounts are used from many addresses: shared, or stolen?
-- Columns:
--   user_id       the user
--   addresses     addresses that the calls came from, as the first proxy saw them
--   calls         calls made
--   auth_methods  how the calls were authenticated
--   refused       calls answered by status 401 or 403
-- Parameters:
--   first day, last day: the period, both included, UTC
--   least addresses: users of fewer are left out
WITH calls AS (
    SELECT *
    FROM access_record
    WHERE year || '-' || month || '-' || day BETWEEN '2023-12-30' AND '2024-01-05' -- parameters: first day, last day
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
HAVING count(DISTINCT trim(split_part(x_forwarded_for, ',', 1))) >= 3 -- parameter: least addresses
ORDER BY addresses DESC, user_id

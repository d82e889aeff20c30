create table t(a integer primary key, b, c text);
with recursive n(x) as (select 1 union all select x + 1 from n where x < 5000) insert into t select x, x * x * 1000003, printf('%08x', x * 2654435761) from n;
create index i on t(c);
select count(*), sum(b), avg(a), min(c), max(c) from t;
select a, b, c from t where c like '%beef%' or a % 1234 = 0 order by c limit 10;
delete from t where a % 3 = 0;
vacuum;
select count(*), total(b) / 3 from t;
select hex(zeroblob(4)), 9223372036854775807 + 0, 1e300 * 1e10, 7 / 2, -7 % 3, round(2.5), json('{"a":[1,2.5]}');

# sqlite3 on a file database: queries, indices, transactions, full-text search, JSON, window functions, integrity.
cat > q.sql <<'EOF'
create table t(id integer primary key, a int, b text);
with recursive c(i) as (select 1 union all select i + 1 from c where i < 5000) insert into t select i, (i * 7919) % 10007, 'name' || ((i * 31) % 97) from c;
create index ta on t(a); create index tb on t(b);
select count(*), sum(a), min(a), max(a), avg(a) from t;
select b, count(*), round(avg(a), 3) from t group by b order by 2 desc, 1 limit 3;
select count(*) from t x join t y on x.a = y.a + 1 where x.id < y.id;
begin; delete from t where id % 2; rollback; select count(*) from t; update t set a = a + 1 where id % 3 = 0; delete from t where id % 5 = 0; select sum(a), count(distinct b) from t;
select id, a, sum(a) over (order by id rows 2 preceding), rank() over (order by b) from t limit 3;
select json_extract('{"a":[1,{"b":2.5}]}', '$.a[1].b'), json_group_array(id) from (select id from t limit 4);
create virtual table f using fts5(x); insert into f select b || ' word' || id from t limit 100; select count(*) from f where f match 'name31';
select hex(zeroblob(4)), typeof(1e3), 7 / 2, 7 / 2.0, 1e308 * 10, printf('%.10f', 1 / 3.0), strftime('%Y-%m-%d', 86400, 'unixepoch'), 'a' || null is null;
pragma integrity_check; vacuum; pragma page_count;
EOF
sqlite3 -batch -init /dev/null test.db < q.sql; sqlite3 -batch -init /dev/null test.db .dump | md5sum; sqlite3 -batch -init /dev/null -csv test.db 'select * from t limit 2'

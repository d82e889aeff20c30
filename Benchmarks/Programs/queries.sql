create table orders(id integer primary key, customer int, product int, amount real, note text);
with recursive c(i) as (select 1 union all select i + 1 from c where i < 30000)
  insert into orders select i, (i * 7919) % 997, (i * 31) % 101, (i % 1000) / 7.0, 'note ' || ((i * 17) % 1009) from c;
create index by_customer on orders(customer, product);
create index by_note on orders(note);
select customer, count(*), round(sum(amount), 3) from orders group by customer order by 3 desc limit 3;
select count(*) from orders a join orders b on a.customer = b.customer and a.product < b.product where a.id % 10 = 0;
select round(sum(x), 3) from (select amount * sum(amount) over (partition by product order by id rows 5 preceding) x from orders);
select count(distinct note), max(length(note)), sum(instr(note, '7')) from orders where note like '%1%';
update orders set amount = amount * 1.1 where product in (select product from orders group by product having count(*) > 290);
delete from orders where id % 7 = 3; select count(*), round(total(amount), 2) from orders; pragma integrity_check;

#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's sqlite3: inserts, indexes, joins and a database file."""
import os, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import proglib

SCRIPT = r'''
create table t(id integer primary key, a text, b real);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000)
insert into t select i, 'row ' || i || ' ' || hex(i * 7919), i / 3.0 from n;
create index ta on t(a);
create table u as select id % 97 as k, count(*) as c, sum(b) as s from t
group by k;
select count(*), sum(length(a)), round(sum(b), 3) from t;
select k, c, round(s, 2) from u order by s desc limit 5;
select t.a, u.c from t join u on t.id % 97 = u.k where t.a like '%77%'
order by t.a limit 5;
update t set a = upper(a) where id % 3 = 0;
delete from t where id % 5 = 0;
select count(*), min(a), max(a) from t;
select json_group_array(k) from (select k from u order by k limit 9);
pragma integrity_check;
attach 'file.db' as f;
create table f.v as select * from t where id < 2000;
select count(*) from f.v;
select nothing from nowhere;
'''


def setup(box):
    with open(os.path.join(box, "work.sql"), "w") as f:
        f.write(SCRIPT)


proglib.plan(proglib.CHECKS)
proglib.same("sqlite3", ["/usr/bin/sqlite3", "-batch", ":memory:",
                         ".read work.sql"], setup=setup, rc=1)

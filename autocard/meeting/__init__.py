"""How the processes of one training meet: who measures what, and who tells whom at the end.

Everything here is called inside the guard, in every process alike, and waits for nobody longer than it says; no
collective is used, because one that a process does not reach hangs all others.
"""

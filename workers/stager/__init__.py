"""The stager: StageIn, StageOut, TransferLog and CleanUp, each file by a mover child that can be killed.

`plan.py` turns a task into orders, `machine.py` decides (pure), `children.py` owns the child processes, `duty.py`
connects the three with the worker's loop.
"""

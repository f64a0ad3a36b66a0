"""The four workers: worker.py is the loop they share; stager, runner, monitor and reporter are the duties."""

"""The files a pilot shares with who started it: Harvester's messenger, ARC's control tower, the wrapper.

Plain functions on files, called by the reporter and at the pilot's begin and end; every file appears whole or not at
all. job_files: jobs in. updates, dump, legacy: updates out. ids: what was taken. life: begin and end of the pilot.
"""

"""What a queue and its storages are (the "information service"), and where the files of a job come from and go to.

Pure: texts and values in, values out. Who downloads the texts is not decided here. Imports `errors` and `jobs`.
"""

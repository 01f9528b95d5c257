"""Measure how time and memory grow with the number of vectors or videos.

    python -m benchmarks.scale [--stages NAME...] [--sizes N...] [--folder DIR] [--json] [--again]

A *stage* is one step of the lab, such as building an index. Each stage runs at several sizes, in a new process each
time. The benchmark measures the processor time, the seconds and the peak memory of that process and of its children.
Then it fits an exponent to the processor times: an exponent of 1 means that the time is proportional to the size. The
data are synthetic, so the benchmark needs no neural network and no internet.

How to write a stage
--------------------
A module of stages has a list `STAGES` of objects of the class `Stage` (module `stage`). The module is named in
`benchmarks/scale/stages.py`. A stage has these parts:

`run(size, folder)`
    The measured work. `run` returns None, or figures by name, such as `{"recall": 0.97}`. The table shows these figures.
`prepare(size, folder)`
    Work that is not measured. It runs before `run`, in another process. `prepare` makes the inputs that are missing in
    `folder`, and leaves existing inputs as they are. Write a file under another name first and rename it. Then a stopped
    run never leaves an incomplete file.
`family`
    The name of a group of stages with the same sizes. The families are `vectors` and `videos`. The stages of a family
    run in the order of the list, and share `folder` at each size. So a stage may read what an earlier stage wrote. If
    the earlier stage was not chosen, `prepare` must make its output.

The main process of the benchmark imports the module. At its top, the module therefore imports only the standard
library. Other imports belong inside the functions. Otherwise the main process would need more memory, and the peak
memory of a new process is at least the memory of the process that started it.

A stage may start an embedded PostgreSQL server, also in `prepare`. The stage must stop the server before it returns.
The processor time and memory of the server count, even if its processes are no longer children of the stage's process.

`folder` is deleted after the last stage of a size, unless the option `--keep` is given. The results are written to
`results.json` in the folder of `--folder` after each stage. So a stopped benchmark continues where it stopped. With
`--again`, everything is measured again.
"""

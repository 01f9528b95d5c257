"""Measure how time and memory grow with the number of vectors or videos.

    python -m benchmarks.scale [--stages NAME...] [--sizes N...] [--folder DIR] [--json] [--again]

A *stage* is one step of the lab, such as building an index. Each stage runs at several sizes, in a new process each
time. The harness measures the processor time, the seconds and the peak memory of that process and of its children. It
then fits the exponent of the growth of the processor time. The data are planted: no model and no network is needed.

How to write a stage
--------------------
A module of stages has a list `STAGES` of objects of the class `Stage` (module `stage`). The module is named in
`benchmarks/scale/stages.py`. A stage has these parts:

`run(size, folder)`
    The measured work. It may return figures by name, such as `{"recall": 0.97}`, which the table shows. It may also
    return None.
`prepare(size, folder)`
    Work that is not measured, in a process of its own. It runs before `run`. It makes the inputs that are missing in
    `folder`, and makes nothing again that is there. Write a file under another name first and rename it, so that a
    stopped run leaves no half of a file.
`family`
    The name of a group of stages with the same sizes. The families are `vectors` and `videos`. The stages of a family
    run in the order of the list, and share `folder` at each size. So a stage may read what an earlier stage wrote. If
    the earlier stage was not chosen, `prepare` must make its output.

The module is imported by the harness itself. So it imports only the standard library at its top, and everything else
inside the functions: the peak memory of a process is at least that of the process that started it.

A stage may start an embedded PostgreSQL server, also in `prepare`. It must stop what it starts before it returns. The
processor time and memory of these processes count, even if they have left the tree of processes.

`folder` is deleted after the last stage of a size, unless the option `--keep` is given. The results are in
`results.json` of the folder of `--folder`, and are written after each stage. So a benchmark that was stopped goes on
where it stopped. `--again` measures again.
"""

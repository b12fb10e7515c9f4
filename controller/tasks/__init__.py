"""The task-runner, and the tasks: work that Herald does by itself, with no person behind each call.

On 2026-02-20 it was such work that withdrew 1,100 prefixes. So a task is a declaration (``declaration``):
what it is for, when it is due (``schedule``), which scope it foresees, and a function that reads and returns
a plan (``plan``). What follows is the runner's (``runner``, driven by the table in ``machine``): it has the
API foretell each step (``foretell``), holds every call against the foreseen scope before it leaves
(``scope``, ``client``), waits for a second person above the policy's limit, stops at the next call when
somebody says so (``routes``), and keeps each run with all its calls (``records``). A task acts by a token of
its own (``token``), which can do what it declared and makes no intents: what it takes, an owner asked for.

Tasks themselves (``clean_up``, ``removals_report``) are pure: the only thing that they are given is
:class:`controller.tasks.api.TaskApi`. What belongs here is what a task needs to run; what a task may cause is
decided by the API and by what stands behind it.

May depend on ``addressing`` (its routes are the one way out, by ASGI; its words for who may), ``safety``,
``store``, and on ``guard`` for how operators are told; not on ``snapshots``, ``rollout``, ``agent``,
``machine``, ``speakers`` or ``transport``.
``controller.serve`` starts the runner.
"""

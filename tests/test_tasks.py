"""A task is a row: no other module asks which one it is."""

import ast
import re
from pathlib import Path
from typing import get_args

import noiseda
from noiseda.data.degradations import DEGRADATIONS, kinds
from noiseda.tasks import MATCHED, PAIRS, TASKS, TaskName

SOURCE = Path(noiseda.__file__).parent
RESEARCH = Path(__file__).parents[1] / "research" / "src"


def test_every_name_has_a_row_and_its_names_exist():
    assert set(TASKS) == set(get_args(TaskName))
    for name, task in TASKS.items():
        assert set(task.degradations) <= {*DEGRADATIONS, MATCHED}
        assert set(kinds(name, task.usual)) <= set(task.degradations)
        assert set(kinds(name, task.paired)) <= {*task.degradations, PAIRS}
        assert (MATCHED in task.degradations) == (task.estimator is not None) == bool(task.beside_matched)


def test_no_module_asks_for_a_task_by_name():
    names = set(get_args(TaskName))
    asked = []
    for path in (*SOURCE.rglob("*.py"), *RESEARCH.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare):
                constants = {part.value for part in [node.left, *node.comparators] if isinstance(part, ast.Constant)}
                if constants & names:
                    asked.append(f"{path}:{node.lineno}")
    assert asked == []
    tables = [path for path in SOURCE.rglob("*.py") if re.search(r"dict\[Task(Name)?,", path.read_text())]
    assert [path.name for path in tables] == ["tasks.py"]

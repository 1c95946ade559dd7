from __future__ import annotations

import grimp


def test_no_two_files_import_each_other() -> None:
    """Imports inside functions and for type checkers also count."""
    graph = grimp.build_graph("sailplane")
    imports = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    assert (
        sorted((one, other) for one in imports for other in imports[one] if one < other and one in imports[other]) == []
    )

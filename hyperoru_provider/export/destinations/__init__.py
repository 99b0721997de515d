"""Where rows go: storage, a SQL table, XCom."""

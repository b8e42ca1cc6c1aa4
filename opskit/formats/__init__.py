"""Writers of formats that other programs read: JUnit XML, TAP, Markdown. They know no tool."""

"""A plan as text."""


def listing(plan):
    """The year, then a line for each bed."""
    lines = [str(plan.year)]
    for name in plan.names():
        rows = ", ".join(crop or "-" for crop in plan.bed(name).rows)
        lines.append(f"  {name}: {rows}")
    lines += [f"  ({remark})" for remark in plan.remarks]
    return "\n".join(lines)

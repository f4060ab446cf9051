"""When a room is free."""

from rooms.slot import Slot


def free_slots(room, shortest=1):
    """The stretches of a room's hours without a meeting, the earliest first.

    Those of less than ``shortest`` minutes are left out.
    """
    free = []
    begin = room.hours.start
    for meeting in room.meetings:
        if meeting.start > begin:
            free.append(Slot(begin, meeting.start))
        begin = meeting.end
    if not room.meetings:
        free.append(room.hours)
    return [slot for slot in free if slot.length >= shortest]

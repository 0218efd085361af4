"""`drakit capacity`: the account's capacity reservations, Capacity Blocks on offer, and buying one."""

from drakit.commands.capacity.buying import capacity_buy, fee_of
from drakit.commands.capacity.finding import capacity_find
from drakit.commands.capacity.listing import capacity_list
from drakit.commands.capacity.surroundings import Where

__all__ = ["Where", "capacity_buy", "capacity_find", "capacity_list", "fee_of"]

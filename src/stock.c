/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The stocks of free entries that those who store and free have in their lanes: one to give out, and one of
 * those that came back last.
 */
#include "handle.h"

/*
 * Give out next what came back last, once there is nothing else. Not if its page has been folded since: what
 * comes back then stays with its block. In the lane.
 */
static void lane_restock(const struct handles *handles, struct handle_lane *lane)
{
	if (!handle_stock_empty(&lane->stock) || handle_stock_empty(&lane->freed) ||
	    /*
	     * Pairs with the release in page_close(). And, by the fence in gates_enter(), with the exchange in
	     * entry_take(): who let an entry die that had just been taken sees that its page is closed.
	     */
	    smp_load_acquire(&handle_block_at(handles, lane->freed.block)->folded))
		return;
	lane->stock = lane->freed;
	lane->freed.free = 0;
}

/* An entry of the caller's lane, or of a shared one; 0 if there is none. */
static u32 lanes_take(struct handles *handles)
{
	struct handle_lane *lane = gates_enter(&handles->lanes, port_lane_claim());
	u32 index = 0;

	if (lane) {
		lane_restock(handles, lane);
		if (!handle_stock_empty(&lane->stock))
			index = handle_stock_take(&lane->stock);
		gate_leave(&lane->gate);
	}
	port_lane_put();
	return index;
}

/* Put a stock in the caller's lane, or a shared one, if that has none. */
static void lanes_stock(struct handles *handles, struct handle_stock stock)
{
	struct handle_lane *lane = gates_enter(&handles->lanes, port_lane_claim());

	if (lane) {
		if (handle_stock_empty(&lane->stock)) {
			lane->stock = stock;
			stock.free = 0;
		}
		gate_leave(&lane->gate);
	}
	port_lane_put();
	handles_put(handles, stock);
}

/* handle_get(), where the stock is used up, or the lane is not the caller's alone. */
u32 handle_get_slow(struct handles *handles, gfp_t flags)
{
	struct handle_stock stock;
	u32 index = lanes_take(handles);

	if (index)
		return index;
	if (handles_refill(handles, &stock, flags))
		return 0;
	index = handle_stock_take(&stock);
	lanes_stock(handles, stock);
	return index;
}

/* handle_put(), where the lane is not the caller's alone. */
void handle_put_slow(struct handles *handles, u32 index)
{
	struct handle_lane *lane = gates_enter(&handles->lanes, port_lane_claim());
	struct handle_stock other = handle_stock_of(index);

	if (lane) {
		other = handle_stock_put(&lane->freed, index);
		gate_leave(&lane->gate);
	}
	port_lane_put();
	handles_put(handles, other);
}

static bool any_lane(const void *lane)
{
	(void)lane;
	return true;
}

/* Who takes stocks out of lanes, and whether there were any. */
struct destocking {
	struct handles *handles;
	bool any;
};

static void lane_destock(void *arg, void *visited)
{
	struct destocking *destocking = arg;
	struct handle_lane *lane = visited;

	destocking->any |= !handle_stock_empty(&lane->stock) || !handle_stock_empty(&lane->freed);
	handles_put(destocking->handles, lane->stock);
	handles_put(destocking->handles, lane->freed);
	lane->stock.free = 0;
	lane->freed.free = 0;
}

/**
 * handles_destock() - take back the free entries that lanes have in stock.
 * @handles: the pool's handles
 *
 * Context: May sleep; no lock is held.
 * Return: whether there were any.
 */
bool handles_destock(struct handles *handles)
{
	struct destocking destocking = { .handles = handles };

	port_mutex_lock(&handles->destock);
	gates_visit(&handles->lanes, any_lane, lane_destock, &destocking);
	port_mutex_unlock(&handles->destock);
	return destocking.any;
}

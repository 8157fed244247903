package dev.smalt

import java.util.concurrent.ConcurrentHashMap

/**
 * Credentials of one engine that were made from the core's answers. The core is asked each time, by a number; what was made is used again for as
 * long as its answer is the very same one.
 */
internal class Seats(
    private val engine: Long,
) {
    data class Place(
        val actor: String?,
        val account: String,
        val application: String,
        val connection: String?,
    )

    private class Answer(
        val number: Long,
        val credential: Credential,
    )

    private class Seat(
        val number: Long,
    ) {
        @Volatile
        var answer: Answer? = null
    }

    private val seats = ConcurrentHashMap<Place, Seat>()

    /** How many credentials are kept. */
    val kept: Int get() = seats.values.count { it.answer != null }

    /** The credential, where it is in memory; `null` where the call has to wait. */
    fun ready(place: Place): Credential? {
        val seat = seats[place] ?: return null
        val number = native.seatReady(engine, seat.number)
        val answer = seat.answer
        if (answer != null && answer.number == number) return answer.credential
        if (number == WAITS || number == GONE) {
            seat.answer = null
            if (number == GONE) seats.remove(place, seat)
            return null
        }
        val packed = native.seatAnswer(engine, seat.number, number) ?: return null
        return Packed.read(packed) {
            val left = seats()
            if (left.isNotEmpty()) seats.values.forEach { if (it.number in left) it.answer = null }
            credential().also { seat.answer = Answer(number, it) }
        }
    }

    /** Takes a seat for what was waited for, so that it is ready the next time. Where none is to be had, it waits again. */
    fun take(
        place: Place,
        text: () -> ByteArray,
    ) {
        if (seats.containsKey(place)) return
        val number =
            try {
                native.seatTake(engine, text())
            } catch (_: SmaltException) {
                return
            }
        if (seats.size >= MOST) {
            seats.clear()
            native.seatsClear(engine)
        } else {
            seats[place] = Seat(number)
        }
    }

    /** Keeps nothing any more. */
    fun clear(): Unit = seats.clear()

    companion object {
        /** More of them are begun anew. */
        const val MOST: Int = 4096

        // What the core answers in place of an answer's number.
        private const val WAITS = 0L
        private const val GONE = -1L
    }
}

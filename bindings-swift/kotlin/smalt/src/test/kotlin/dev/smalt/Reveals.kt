package dev.smalt

/** Whether a text stands anywhere in what an error shows of itself. */
internal fun reveals(
    error: SmaltException,
    text: String,
): Boolean = listOf(error.toString(), error.message.orEmpty(), error.context.toString(), error.trace.orEmpty(), error.stackTraceToString()).any { text in it }

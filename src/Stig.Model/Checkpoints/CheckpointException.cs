namespace Stig.Model.Checkpoints;

/// <summary>
/// A checkpoint file cannot be read or written. The message is one line for the user: the file, the tensor where there is
/// one, what is wrong, and what to do about it.
/// </summary>
public sealed class CheckpointException : Exception
{
    /// <summary>Makes the exception from its line.</summary>
    /// <param name="message">File, tensor, what is wrong, remedy.</param>
    /// <param name="innerException">What the operating system or the JSON reader said, if it was one of them.</param>
    public CheckpointException(string message, Exception? innerException = null)
        : base(message, innerException)
    {
    }

    /// <summary>Whether a file could not be written; otherwise what a file holds, or reading it, is the trouble.</summary>
    public bool IsWriteFailure { get; init; }
}

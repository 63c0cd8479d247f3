namespace Stig.Model.Imaging;

/// <summary>A file yielded no image: it cannot be read, is not one of the formats, is damaged or incomplete, or is too large.
/// The message is one line with the file's name, the cause and the remedy.</summary>
public sealed class ImageFormatException : IOException
{
    /// <summary>Creates the exception from its one-line message.</summary>
    /// <param name="message">File, cause and remedy.</param>
    /// <param name="innerException">The error underneath, if any.</param>
    public ImageFormatException(string message, Exception? innerException)
        : base(message, innerException)
    {
    }

    /// <summary>Creates the exception with a general message.</summary>
    public ImageFormatException()
        : base("The file holds no image that can be read.")
    {
    }

    /// <summary>Creates the exception from its one-line message.</summary>
    /// <param name="message">File, cause and remedy.</param>
    public ImageFormatException(string message)
        : base(message)
    {
    }
}

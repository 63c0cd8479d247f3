namespace Stig.Model.Imaging;

/// <summary>A set of images cannot serve: its folder is missing or holds no image, none of its images decodes, or there are too
/// few. The message is one line with the folder or set, the cause and the remedy.</summary>
public sealed class ImageDataException : Exception
{
    /// <summary>Creates the exception from its one-line message.</summary>
    /// <param name="message">Folder or set, cause and remedy.</param>
    /// <param name="innerException">The error underneath, if any.</param>
    public ImageDataException(string message, Exception? innerException)
        : base(message, innerException)
    {
    }

    /// <summary>Creates the exception from its one-line message.</summary>
    /// <param name="message">Folder or set, cause and remedy.</param>
    public ImageDataException(string message)
        : base(message)
    {
    }

    /// <summary>Creates the exception with a general message.</summary>
    public ImageDataException()
        : base("The set of images cannot be used.")
    {
    }
}

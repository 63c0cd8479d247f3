namespace Stig.Model.Imaging;

/// <summary>A format of image files.</summary>
public enum ImageFormat
{
    /// <summary>PNG: lossless, with opacity.</summary>
    Png,

    /// <summary>JPEG: lossy, without opacity.</summary>
    Jpeg,

    /// <summary>WebP: lossless or lossy, with opacity; at most 16383 pixels a side.</summary>
    Webp,

    /// <summary>BMP: read, never written.</summary>
    Bmp,
}

/// <summary>The format in which images are written.</summary>
public enum OutputFormat
{
    /// <summary>PNG.</summary>
    Png,

    /// <summary>JPEG.</summary>
    Jpeg,

    /// <summary>WebP.</summary>
    Webp,

    /// <summary>The one that the input's extension names; PNG where it names none that is written.</summary>
    Same,
}

/// <summary>Extensions of image files, and the formats they name.</summary>
public static class ImageFormats
{
    /// <summary>The format that an extension names, in any case; null where it names none.</summary>
    /// <param name="path">A file name or path; what it holds does not matter.</param>
    public static ImageFormat? OfExtension(string path) => Path.GetExtension(path).ToUpperInvariant() switch
    {
        ".PNG" => ImageFormat.Png,
        ".JPG" or ".JPEG" => ImageFormat.Jpeg,
        ".WEBP" => ImageFormat.Webp,
        ".BMP" => ImageFormat.Bmp,
        _ => null,
    };

    /// <summary>In which format an input's output is written, and with which extension. It is known before the input is read:
    /// its extension counts, not its content.</summary>
    /// <param name="format">What is asked for.</param>
    /// <param name="inputName">The input's name.</param>
    /// <returns>The format and the extension with its dot; <see cref="OutputFormat.Same"/> keeps the input's spelling
    /// (.jpeg, .PNG).</returns>
    public static (ImageFormat Format, string Extension) Output(OutputFormat format, string inputName) => format switch
    {
        OutputFormat.Jpeg => (ImageFormat.Jpeg, ".jpg"),
        OutputFormat.Webp => (ImageFormat.Webp, ".webp"),
        OutputFormat.Same when OfExtension(inputName) is ImageFormat kept and not ImageFormat.Bmp =>
            (kept, Path.GetExtension(inputName)),
        _ => (ImageFormat.Png, ".png"),
    };

    /// <summary>How the format is called in messages.</summary>
    internal static string Name(ImageFormat format) => format == ImageFormat.Webp ? "WebP" : format.ToString().ToUpperInvariant();
}

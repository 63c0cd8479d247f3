using Stig.Model.Imaging;

namespace Stig.Model.Refinement;

/// <summary>What lies between files and pixels: decoding, fitting to the model, and encoding with what is noted in the output.</summary>
public sealed record RefineCodec
{
    // For Recode, so that it uses memory again as the pipeline does.
    private static readonly PixelArrays Recoded = new(RefinePipeline.IdleBytes);

    /// <summary>The format of outputs.</summary>
    public OutputFormat Format { get; init; } = OutputFormat.Png;

    /// <summary>How outputs are encoded.</summary>
    public EncodeOptions Encoding { get; init; } = new();

    /// <summary>How images are brought to sizes that the model takes; null: every size is taken as it is.</summary>
    public ImageFit? Fit { get; init; }

    /// <summary>Whether outputs state the program's version and the model, where the format can hold it. What is out of the ordinary, a
    /// resampled filter, is stated in any case.</summary>
    public bool Stamp { get; init; } = true;

    /// <summary>Images that declare more pixels are refused, 1..<see cref="ImageCodec.MaxPixels"/>; 2^26 where nothing else is asked for, so
    /// that a thread which decodes takes less than half a gigabyte.</summary>
    public long MaxPixels { get; init; } = 1L << 26;

    /// <summary>The options that change outputs of that format, as manifests record them.</summary>
    internal string Description
    {
        get
        {
            bool Writes(OutputFormat format) => Format == format || Format == OutputFormat.Same;
            string?[] options =
            [
                $"format={Lower(Format)}",
                $"fit={(Fit is null ? "none" : Lower(Fit.Policy))}",
                Writes(OutputFormat.Png) ? $"png={Encoding.PngLevel},{Lower(Encoding.PngFilter)}" : null,
                Writes(OutputFormat.Jpeg) || (Writes(OutputFormat.Webp) && !Encoding.WebpLossless) ? $"quality={Encoding.Quality}" : null,
                Writes(OutputFormat.Webp) ? $"webp={(Encoding.WebpLossless ? "lossless" : "lossy")}" : null,
                $"metadata={Lower(Encoding.Metadata)}",
                $"stamp={(Stamp ? "yes" : "no")}",
            ];
            return string.Join(' ', options.Where(option => option is not null));
        }
    }

    /// <summary>Decodes and encodes without anything in between: what an image costs at least.</summary>
    /// <param name="content">An image file's content.</param>
    /// <param name="name">Its name, and that of the output.</param>
    /// <param name="refiner">Whose notes go into the output.</param>
    /// <param name="write">Takes the output's content, which it is not to keep; null: nobody wants it.</param>
    /// <exception cref="RefineItemException">The content is no image that can be refined, or the format cannot hold it.</exception>
    public void Recode(ReadOnlySpan<byte> content, string name, IImageRefiner refiner, Action<ReadOnlyMemory<byte>>? write = null)
    {
        FittedImage image = Decode(content, name, Recoded);
        using var output = new ByteBuffer();
        Encode(image, image.Working, name, refiner, output);
        write?.Invoke(output.Memory);
        if (image.IsDecodedInto)
        {
            Recoded.Return(image.Working.Pixels);
        }
    }

    /// <summary>The extension, with its dot, of the output of an input of that name; known before the input is read.</summary>
    internal string ExtensionOf(string inputName) => ImageFormats.Output(Format, inputName).Extension;

    /// <param name="content">An image file's content.</param>
    /// <param name="name">What to call it in messages.</param>
    /// <param name="arrays">Where to take memory for pixels from.</param>
    /// <exception cref="RefineItemException">The content is no image that can be refined.</exception>
    internal FittedImage Decode(ReadOnlySpan<byte> content, string name, PixelArrays? arrays = null)
    {
        DecodedImage decoded;
        try
        {
            decoded = ImageCodec.DecodeUsing(arrays, content, name, MaxPixels);
        }
        catch (ImageFormatException error)
        {
            throw new RefineItemException(RefineCause.Image, error.Message, error);
        }

        RgbImage image = decoded.Image;
        try
        {
            RgbImage working = Fit?.Fit(image, name) ?? image;
            if (Math.Min(working.Width, working.Height) < ImageFit.MinimumSide)
            {
                throw new ImageFormatException(
                    $"{name}: has {image.Width} x {image.Height} pixels; each side needs at least {ImageFit.MinimumSide}. Pad it, or remove it.");
            }

            bool decodedInto = ReferenceEquals(working.Pixels, image.Pixels);
            if (!decodedInto)
            {
                arrays?.Return(image.Pixels);
            }

            return new FittedImage(working, decodedInto, image.Width, image.Height, image.Alpha, decoded.Source);
        }
        catch (ImageFormatException error)
        {
            throw new RefineItemException(RefineCause.Size, error.Message, error);
        }
    }

    /// <param name="original">What was decoded.</param>
    /// <param name="refined">The refined image, of the working size.</param>
    /// <param name="outputName">Its extension decides on the format.</param>
    /// <param name="refiner">What refined it.</param>
    /// <param name="content">Receives the output's content.</param>
    /// <returns>What of the input is missing in the output and why.</returns>
    /// <exception cref="RefineItemException">The format cannot hold the image.</exception>
    internal IReadOnlyList<ImageNote> Encode(
        FittedImage original, RgbImage refined, string outputName, IImageRefiner refiner, ByteBuffer content)
    {
        ImageFormat format = ImageFormats.OfExtension(outputName) ?? ImageFormat.Png;
        string? remark = refiner.Remark(refined.Width, refined.Height);
        ImageStamp? stamp = Stamp ? new ImageStamp($"stig {ProgramVersion.Current}", refiner.ModelId, remark)
            : remark is not null ? new ImageStamp(null, null, remark)
            : null;
        try
        {
            RgbImage image = Fit?.Restore(refined, original.Width, original.Height, original.Alpha)
                ?? new RgbImage(refined.Width, refined.Height, refined.Pixels, original.Alpha);
            return ImageCodec.EncodeTo(content, image, format, Encoding, original.Source, stamp);
        }
        catch (IOException error)
        {
            throw new RefineItemException(RefineCause.Encoding, error.Message, error);
        }
    }

    private static string Lower<T>(T value) where T : struct, Enum => value.ToString().ToLowerInvariant();
}

/// <summary>A decoded image as the model takes it.</summary>
/// <param name="Working">The pixels at the size at which the model sees them.</param>
/// <param name="IsDecodedInto">Whether its pixels lie in the memory into which the file was decoded: it had the size already.</param>
/// <param name="Width">The image's own width.</param>
/// <param name="Height">The image's own height.</param>
/// <param name="Alpha">Its opacities, or null.</param>
/// <param name="Source">What its file said beside the pixels.</param>
internal sealed record FittedImage(RgbImage Working, bool IsDecodedInto, int Width, int Height, byte[]? Alpha, ImageSource Source);

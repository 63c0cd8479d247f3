using Stig.Model.Imaging;

namespace Stig.Model.Data;

/// <summary>The images of one domain, decoded on demand. Safe for use by several threads.</summary>
/// <remarks>What fits into the budget stays; nothing is evicted. Every image is wanted once an epoch, and a cache that drops
/// the least recently used one would then always drop the one wanted soonest.</remarks>
internal sealed class ImagePool(ImageDomain domain, IReadOnlyList<ImageFile> files, DatasetOptions options, CacheBudget budget)
{
    private readonly RgbImage?[] kept = new RgbImage?[files.Count];
    private readonly string?[] failures = new string?[files.Count];

    public ImageDomain Domain => domain;

    public IReadOnlyList<ImageFile> Files => files;

    /// <summary>The image at an index, resized where the options say so, or null where its file cannot be decoded or
    /// resized.</summary>
    public RgbImage? TryGet(int index)
    {
        if (Volatile.Read(ref kept[index]) is { } found)
        {
            return found;
        }

        if (Volatile.Read(ref failures[index]) is not null)
        {
            return null;
        }

        RgbImage image;
        try
        {
            image = ImageCodec.Load(files[index].Path);
            if (options.Crop == CropMode.Resize)
            {
                ResampleFilter filter = options.OfficialPairing ? ResampleFilter.Triangle : ResampleFilter.Lanczos3;
                image = Resampler.Resize(image, options.Size, options.Size, filter, files[index].Path);
            }
        }
        catch (ImageFormatException error)
        {
            if (Interlocked.CompareExchange(ref failures[index], error.Message, null) is null)
            {
                options.Report?.Invoke($"skipped {error.Message}");
            }

            return null;
        }

        if (budget.TryTake(image.Pixels.Length) && Interlocked.CompareExchange(ref kept[index], image, null) is not null)
        {
            budget.Return(image.Pixels.Length);
        }

        return image;
    }

    /// <summary>The exception to throw when an epoch has no image at all.</summary>
    public ImageDataException NoneDecodes()
    {
        string first = failures.FirstOrDefault(failure => failure is not null) ?? "";
        return new ImageDataException($"None of the {files.Count} {Name(domain)} images can be used. The first: {first}");
    }

    internal static string Name(ImageDomain domain) => domain == ImageDomain.Real ? "real" : "fake";
}

/// <summary>Bytes that several pools share.</summary>
internal sealed class CacheBudget(long bytes)
{
    private long left = bytes;

    public bool TryTake(long size)
    {
        if (Interlocked.Add(ref left, -size) >= 0)
        {
            return true;
        }

        Return(size);
        return false;
    }

    public void Return(long size) => Interlocked.Add(ref left, size);
}

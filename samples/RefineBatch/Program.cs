// Refines images held in memory with the library: as spans of bytes, and by pointers to floats.
// usage: RefineBatch MODEL IMAGE... (images of one size)
using System.Runtime.InteropServices;
using Stig.Model.Imaging;
using Stig.Model.Refinement;

if (args.Length < 2)
{
    Console.Error.WriteLine("usage: RefineBatch MODEL IMAGE... (images of one size)");
    return 2;
}

RgbImage[] images = [.. args.Skip(1).Select(path => ImageCodec.Load(path))];
(int count, int height, int width) = (images.Length, images[0].Height, images[0].Width);

using Refiner refiner = Refiner.Load(args[0], new RefinerOptions { Batch = 8, Warn = Console.Error.WriteLine });
var model = refiner.Model.Architecture;
Console.WriteLine($"{model.Preset} model, trained at {model.Size} x {model.Size} pixels, computing on {refiner.Device}");

// Spans of bytes, [count, height, width, 3].
byte[] pixels = [.. images.SelectMany(image => image.Pixels)];
byte[] refined = new byte[pixels.Length];
refiner.Refine(pixels, refined, count, height, width);
double change = pixels.Zip(refined, (before, after) => (double)Math.Abs(before - after)).Average();
Console.WriteLine($"bytes as spans: {count} images of {width} x {height}, mean change {change:F2} of 255");

// Pointers to floats, [count, 3, height, width] in [0, 1]; the result may replace the input.
unsafe
{
    int length = 3 * height * width;
    float* planes = (float*)NativeMemory.Alloc((nuint)(count * length), sizeof(float));
    for (int i = 0; i < count; i++)
    {
        images[i].ToPlanar(new Span<float>(planes + (i * length), length));
    }

    refiner.Refine(planes, planes, count, height, width);
    float largest = 0, smallest = 1;
    foreach (float value in new ReadOnlySpan<float>(planes, count * length))
    {
        (smallest, largest) = (Math.Min(smallest, value), Math.Max(largest, value));
    }

    NativeMemory.Free(planes);
    Console.WriteLine($"floats by pointers: values from {smallest:F3} to {largest:F3}");
}

return 0;

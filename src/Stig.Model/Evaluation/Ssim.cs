using Stig.Model.Execution;
using Stig.Model.Graphs;
using Stig.Model.Operations;

namespace Stig.Model.Evaluation;

/// <summary>
/// Mean structural similarity of images of one size (Wang et al. 2004): Gaussian window of standard deviation 1.5, zero
/// padding, C1 = 0.01^2, C2 = 0.03^2, mean over pixels and channels. The program is planned once. One caller at a time.
/// </summary>
public sealed class Ssim : IDisposable
{
    private readonly Executor executor;
    private readonly TensorStore store;
    private readonly Program program;
    private readonly Value first;
    private readonly Value second;
    private readonly Value similarity;

    /// <summary>Plans the comparison.</summary>
    /// <param name="extents">Extents of the images.</param>
    /// <param name="device">"auto", "cpu" or "cuda:N".</param>
    /// <exception cref="ArgumentOutOfRangeException">An extent is below 1.</exception>
    /// <exception cref="DeviceException">The device cannot be used.</exception>
    public Ssim(ImageExtents extents, string device = "cpu")
    {
        extents.Validate(nameof(extents));
        Extents = extents;
        var graph = new Graph();
        TensorType type = TensorType.Float(1, extents.Channels, extents.Height, extents.Width);
        first = graph.Input("first", type);
        second = graph.Input("second", type);
        similarity = graph.Output("similarity", graph.StructuralSimilarity(first, second));
        executor = Device.Open(device, DevicePurpose.Measurement, winograd: false);
        store = executor.CreateStore();
        program = executor.Compile(graph, store);
    }

    /// <summary>Extents of the images.</summary>
    public ImageExtents Extents { get; }

    /// <summary>Similarity of two images.</summary>
    /// <param name="a">[C, H, W], intensities in [0, 1].</param>
    /// <param name="b">[C, H, W], intensities in [0, 1].</param>
    /// <returns>In [-1, 1]; 1 for equal images.</returns>
    /// <exception cref="ArgumentException">A span does not have the length that the extents ask for.</exception>
    public double Between(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        Extents.CheckLength(a, nameof(a));
        Extents.CheckLength(b, nameof(b));
        program.Write(first, a);
        program.Write(second, b);
        program.Run();
        return program.ReadScalar(similarity);
    }

    /// <summary>Frees the program.</summary>
    public void Dispose()
    {
        program.Dispose();
        store.Dispose();
        executor.Dispose();
    }
}

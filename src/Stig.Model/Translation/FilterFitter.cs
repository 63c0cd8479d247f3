using Stig.Model.Execution;
using Stig.Model.Graphs;
using Stig.Model.Operations;

namespace Stig.Model.Translation;

/// <summary>
/// The closed form (docs/method.md, "The filter"): per channel and frequency the mean log magnitude of the real images minus that of the
/// fake ones, zero within <see cref="ModelArchitecture.ProtectedRadius"/> bins of zero frequency, where images differ by what
/// they show and not by how they were made.
/// </summary>
internal sealed class FilterFitter : IDisposable
{
    private readonly int size;
    private readonly TensorStore store;
    private readonly Program program;
    private readonly Value image;
    private readonly Value magnitude;
    private readonly float[] buffer;
    private readonly Mean real;
    private readonly Mean fake;

    /// <summary>Prepares to fit a filter for images of the given size.</summary>
    public FilterFitter(Executor executor, int size)
    {
        this.size = size;
        var graph = new Graph();
        image = graph.Input("image", TensorType.Float(1, 3, size, size));
        magnitude = graph.Output("magnitude", graph.LogSpectrum(image).Magnitude);
        store = executor.CreateStore();
        program = executor.Compile(graph, store);
        buffer = new float[magnitude.Shape.Count];
        real = new Mean(buffer.Length);
        fake = new Mean(buffer.Length);
    }

    /// <summary>Adds a real image, [3, S, S] in [0, 1].</summary>
    public void AddReal(ReadOnlySpan<float> planes) => Add(planes, real);

    /// <summary>Adds a fake image, [3, S, S] in [0, 1].</summary>
    public void AddFake(ReadOnlySpan<float> planes) => Add(planes, fake);

    /// <summary>The filter, [3, S, S], centred like the spectra.</summary>
    /// <param name="smooth">
    /// Whether the sampling noise of the means is taken out (<see cref="FilterResampler.Smooth"/>); unsmoothed it is the plain
    /// difference.
    /// </param>
    /// <exception cref="InvalidOperationException">There was no real or no fake image.</exception>
    public float[] Fit(bool smooth)
    {
        float[] filter = new float[buffer.Length];
        for (int i = 0; i < filter.Length; i++)
        {
            filter[i] = (float)(real[i] - fake[i]);
        }

        if (smooth)
        {
            FilterResampler.Smooth(filter, size);
        }

        for (int i = 0; i < filter.Length; i++)
        {
            int y = (i / size % size) - (size / 2);
            int x = (i % size) - (size / 2);
            if ((y * y) + (x * x) <= ModelArchitecture.ProtectedRadius * ModelArchitecture.ProtectedRadius)
            {
                filter[i] = 0;
            }
        }

        return filter;
    }

    public void Dispose()
    {
        program.Dispose();
        store.Dispose();
    }

    private void Add(ReadOnlySpan<float> planes, Mean mean)
    {
        program.Write(image, planes);
        program.Run();
        program.Read<float>(magnitude, buffer);
        mean.Add(buffer);
    }

    private sealed class Mean(int length)
    {
        private readonly double[] sums = new double[length];
        private long count;

        public double this[int index] => count > 0
            ? sums[index] / count
            : throw new InvalidOperationException("A filter needs at least one real and one fake image.");

        public void Add(ReadOnlySpan<float> values)
        {
            for (int i = 0; i < sums.Length; i++)
            {
                sums[i] += values[i];
            }

            count++;
        }
    }
}

using Stig.Interop.Cuda;
using Stig.Interop.Cuda.Blas;
using Stig.Interop.Cuda.Dnn;
using Stig.Interop.Cuda.Fft;
using Stig.Interop.Cuda.Loading;
using Stig.Tests;

namespace Stig.Interop.Tests.Cuda;

/// <summary>
/// cuFFT, cuBLAS and cuDNN on a device, real or simulated. Oracle: the defining sums, as plain loops in double. Values are small integers
/// in the products and convolutions, so that float32 (TF32 too, whose 11 bits hold them) gives exact sums; transforms are held to 1e-5 of
/// their largest value, some 50 times float32's rounding over the few additions of these sizes.
/// </summary>
[Collection(OneDeviceTestAtATime.Name)]
public sealed class LibraryTests
{
    private const int Seed = 7;

    [Theory]
    [InlineData(8, 6, 3)]
    [InlineData(5, 7, 1)]
    public void A_batch_of_transforms_is_the_defining_sum_and_comes_back(int height, int width, int batch)
    {
        using CudaContext context = CudaMachine.Open();
        CudaMachine.Require(CudaLibrary.Fft);
        using CudaStream stream = CudaStream.Create(context);
        using FftPlan plan = FftPlan.Create(context, FftType.ComplexToComplex, height, width, batch);
        int count = batch * height * width;
        using DeviceMemory input = DeviceMemory.Allocate(context, count * 8L, stream);
        using DeviceMemory output = DeviceMemory.Allocate(context, count * 8L, stream);
        using DeviceMemory work = DeviceMemory.Allocate(context, Math.Max(1, plan.WorkBytes), stream);
        plan.SetStream(stream);
        plan.SetWorkArea(work.Pointer);
        float[] values = [.. Integers(2 * count)];
        stream.CopyToDeviceAndWait<float>(input.Pointer, values);
        plan.Execute(input.Pointer, output.Pointer, FftDirection.Forward);
        float[] spectrum = new float[2 * count];
        stream.CopyToHostAndWait<float>(spectrum, output.Pointer);
        double[] expected = Transform(values, height, width, batch);
        Near(expected, spectrum);

        plan.Execute(output.Pointer, output.Pointer, FftDirection.Inverse);
        float[] back = new float[2 * count];
        stream.CopyToHostAndWait<float>(back, output.Pointer);
        Near([.. values.Select(v => (double)v * height * width)], back);
    }

    [Fact]
    public void A_captured_transform_is_replayed()
    {
        using CudaContext context = CudaMachine.Open();
        CudaMachine.Require(CudaLibrary.Fft);
        using CudaStream stream = CudaStream.Create(context);
        using FftPlan plan = FftPlan.Create(context, FftType.ComplexToComplex, 4, 4, 1);
        using DeviceMemory data = DeviceMemory.Allocate(context, 128, stream);
        using DeviceMemory work = DeviceMemory.Allocate(context, Math.Max(1, plan.WorkBytes), stream);
        plan.SetStream(stream);
        plan.SetWorkArea(work.Pointer);
        float[] values = [.. Integers(32)];
        stream.CopyToDeviceAndWait<float>(data.Pointer, values);
        using CudaGraph graph = CudaGraph.Capture(stream, () => plan.Execute(data.Pointer, data.Pointer, FftDirection.Forward));
        float[] back = new float[32];
        stream.CopyToHostAndWait<float>(back, data.Pointer);
        Assert.Equal(values, back);
        graph.Launch(stream);
        stream.CopyToHostAndWait<float>(back, data.Pointer);
        Near(Transform(values, 4, 4, 1), back);
    }

    [Fact]
    public void A_plan_that_is_too_large_is_refused_before_the_library_sees_it()
    {
        using CudaContext context = CudaMachine.Open();
        Assert.Throws<DeviceLimitException>(() => FftPlan.Create(context, FftType.ComplexToComplex, 65536, 32768, 1));
    }

    [Theory]
    [InlineData(false, false, 1)]
    [InlineData(true, false, 1)]
    [InlineData(false, true, 3)]
    public void Products_of_row_major_matrices_are_the_defining_sums(bool transposeA, bool transposeB, int batch)
    {
        const int M = 5, N = 3, K = 7;
        using CudaContext context = CudaMachine.Open();
        CudaMachine.Require(CudaLibrary.Blas);
        using CudaStream stream = CudaStream.Create(context);
        using BlasHandle blas = BlasHandle.Create(context);
        using DeviceMemory workspace = DeviceMemory.Allocate(context, 4 << 20, stream);
        blas.SetStream(stream, workspace.Pointer, workspace.Bytes);
        float[] a = [.. Integers(batch * M * K)];
        float[] b = [.. Integers(batch * K * N)];
        using DeviceMemory deviceA = Upload(context, stream, a);
        using DeviceMemory deviceB = Upload(context, stream, b);
        using DeviceMemory deviceC = DeviceMemory.Allocate(context, batch * M * N * 4, stream);
        blas.Multiply(
            M, N, K,
            new BlasMatrix(deviceA.Pointer, transposeA ? M : K, transposeA, M * K),
            new BlasMatrix(deviceB.Pointer, transposeB ? K : N, transposeB, K * N), BlasDataType.Float32,
            new BlasMatrix(deviceC.Pointer, N, false, M * N), BlasDataType.Float32, BlasComputeType.Float32, batch, alpha: 2);
        float[] c = new float[batch * M * N];
        stream.CopyToHostAndWait<float>(c, deviceC.Pointer);
        for (int i = 0; i < c.Length; i++)
        {
            (int image, int row, int column) = (i / (M * N), i / N % M, i % N);
            float sum = 0;
            for (int k = 0; k < K; k++)
            {
                sum += a[(image * M * K) + (transposeA ? (k * M) + row : (row * K) + k)]
                    * b[(image * K * N) + (transposeB ? (column * K) + k : (k * N) + column)];
            }

            Assert.Equal(2 * sum, c[i]);
        }
    }

    [Fact]
    public void A_convolution_is_the_defining_sum_alone_and_with_bias_and_relu()
    {
        const int Images = 2, C = 8, K = 16, H = 6, W = 5, R = 3;
        using CudaContext context = CudaMachine.Open();
        CudaMachine.Require(CudaLibrary.Dnn);
        using CudaStream stream = CudaStream.Create(context);
        using DnnHandle dnn = DnnHandle.Create(context);
        dnn.SetStream(stream);
        using DnnTensor xShape = DnnTensor.Create(context, DnnDataType.Float32, Images, C, H, W, C);
        using DnnTensor yShape = DnnTensor.Create(context, DnnDataType.Float32, Images, K, H, W, K);
        using DnnFilter wShape = DnnFilter.Create(context, DnnDataType.Float32, K, C, R, R);
        using DnnConvolution convolution = DnnConvolution.Create(context, padding: 1, stride: 1, DnnMathType.Fma);
        DnnShape shape = new(xShape, wShape, convolution, yShape);

        float[] x = [.. Integers(Images * H * W * C)];
        float[] w = [.. Integers(K * R * R * C)];
        float[] bias = [.. Integers(K)];
        using DeviceMemory dx = Upload(context, stream, x);
        using DeviceMemory dw = Upload(context, stream, w);
        using DeviceMemory db = Upload(context, stream, bias);
        using DeviceMemory dy = DeviceMemory.Allocate(context, Images * H * W * K * 4, stream);

        DnnAlgorithm[] found = dnn.GetForwardAlgorithms(shape);
        Assert.NotEmpty(found);
        int algorithm = (int)DnnForwardAlgorithm.ImplicitPrecompGemm;
        long bytes = dnn.ForwardWorkspace(shape, algorithm);
        using DeviceMemory forwardWork = DeviceMemory.Allocate(context, Math.Max(1, bytes), stream);
        dnn.Forward(shape, algorithm, dx.Pointer, dw.Pointer, dy.Pointer, new DnnWorkspace(forwardWork.Pointer, bytes));
        float[] y = new float[Images * H * W * K];
        stream.CopyToHostAndWait<float>(y, dy.Pointer);
        Assert.Equal(Convolve(), y);

        using DnnTensor biasShape = DnnTensor.Create(context, DnnDataType.Float32, 1, K, 1, 1, K);
        using DnnActivation relu = DnnActivation.Create(context, DnnActivationMode.Relu);
        dnn.ForwardBiasActivation(
            shape, algorithm, dx.Pointer, dw.Pointer, biasShape, db.Pointer, relu, dy.Pointer, new DnnWorkspace(forwardWork.Pointer, bytes));
        float[] activated = new float[y.Length];
        stream.CopyToHostAndWait<float>(activated, dy.Pointer);
        Assert.Equal(y.Select((v, i) => Math.Max(0, v + bias[i % K])), activated);

        float[] Convolve()
        {
            float[] result = new float[Images * H * W * K];
            for (int i = 0; i < result.Length; i++)
            {
                (int n, int row, int column, int k) = (i / (H * W * K), i / (W * K) % H, i / K % W, i % K);
                for (int r = 0; r < R; r++)
                {
                    for (int s = 0; s < R; s++)
                    {
                        (int fromRow, int fromColumn) = (row + r - 1, column + s - 1);
                        if (fromRow is < 0 or >= H || fromColumn is < 0 or >= W)
                        {
                            continue;
                        }

                        for (int c = 0; c < C; c++)
                        {
                            result[i] += x[(((((n * H) + fromRow) * W) + fromColumn) * C) + c] * w[(((((k * R) + r) * R) + s) * C) + c];
                        }
                    }
                }
            }

            return result;
        }
    }

    [Fact]
    public void Gradients_of_a_convolution_are_the_defining_sums()
    {
        // Stride 2 and an even extent, so that the last row and column of the padding are never read.
        const int Images = 2, C = 4, K = 8, H = 6, W = 8, R = 3, OutH = 3, OutW = 4;
        using CudaContext context = CudaMachine.Open();
        CudaMachine.Require(CudaLibrary.Dnn);
        using CudaStream stream = CudaStream.Create(context);
        using DnnHandle dnn = DnnHandle.Create(context);
        dnn.SetStream(stream);
        using DnnTensor xShape = DnnTensor.Create(context, DnnDataType.Float32, Images, C, H, W, C);
        using DnnTensor yShape = DnnTensor.Create(context, DnnDataType.Float32, Images, K, OutH, OutW, K);
        using DnnTensor biasShape = DnnTensor.Create(context, DnnDataType.Float32, 1, K, 1, 1, K);
        using DnnFilter wShape = DnnFilter.Create(context, DnnDataType.Float32, K, C, R, R);
        using DnnConvolution convolution = DnnConvolution.Create(context, padding: 1, stride: 2, DnnMathType.Fma);
        DnnShape shape = new(xShape, wShape, convolution, yShape);
        float[] x = [.. Integers(Images * H * W * C)];
        float[] w = [.. Integers(K * R * R * C)];
        float[] dy = [.. Integers(Images * OutH * OutW * K)];
        float[] dx = new float[x.Length];
        float[] dw = new float[w.Length];
        float[] db = new float[K];
        for (int i = 0; i < dy.Length; i++)
        {
            (int n, int row, int column, int k) = (i / (OutH * OutW * K), i / (OutW * K) % OutH, i / K % OutW, i % K);
            db[k] += dy[i];
            for (int j = 0; j < R * R * C; j++)
            {
                (int r, int s, int c) = (j / (R * C), j / C % R, j % C);
                (int fromRow, int fromColumn) = ((2 * row) + r - 1, (2 * column) + s - 1);
                if (fromRow is >= 0 and < H && fromColumn is >= 0 and < W)
                {
                    int from = (((((n * H) + fromRow) * W) + fromColumn) * C) + c;
                    dx[from] += dy[i] * w[(k * R * R * C) + j];
                    dw[(k * R * R * C) + j] += dy[i] * x[from];
                }
            }
        }

        using DeviceMemory deviceX = Upload(context, stream, x);
        using DeviceMemory deviceW = Upload(context, stream, w);
        using DeviceMemory deviceDy = Upload(context, stream, dy);
        using DeviceMemory result = DeviceMemory.Allocate(context, 4 * Math.Max(x.Length, w.Length), stream);
        Assert.NotEmpty(dnn.GetBackwardDataAlgorithms(shape));
        Assert.NotEmpty(dnn.GetBackwardFilterAlgorithms(shape));

        // ALGO_1 of both gradients: deterministic, and sums of products as written above (transform algorithms would round).
        const int Algorithm = 1;
        long bytes = Math.Max(dnn.BackwardDataWorkspace(shape, Algorithm), dnn.BackwardFilterWorkspace(shape, Algorithm));
        using DeviceMemory work = DeviceMemory.Allocate(context, Math.Max(1, bytes), stream);
        DnnWorkspace workspace = new(work.Pointer, bytes);

        dnn.BackwardData(shape, Algorithm, deviceW.Pointer, deviceDy.Pointer, result.Pointer, workspace);
        Assert.Equal(dx, Download(stream, result, dx.Length));
        dnn.BackwardFilter(shape, Algorithm, deviceX.Pointer, deviceDy.Pointer, result.Pointer, workspace);
        Assert.Equal(dw, Download(stream, result, dw.Length));
        dnn.BackwardBias(yShape, deviceDy.Pointer, biasShape, result.Pointer);
        Assert.Equal(db, Download(stream, result, db.Length));
    }

    [Fact]
    public void A_descriptor_beyond_31_bits_is_refused_in_words()
    {
        using CudaContext context = CudaMachine.Open();
        CudaMachine.Require(CudaLibrary.Dnn);
        DeviceLimitException failure = Assert.Throws<DeviceLimitException>(() => DnnTensor.Create(context, DnnDataType.Float32, 1, 64, 65536, 1024, 64));
        Assert.Contains("below 2^31", failure.Message, StringComparison.Ordinal);

        // The extents of one image fit, those of all do not: the library counts all. One element less does.
        Assert.Throws<DeviceLimitException>(() => DnnTensor.Create(context, DnnDataType.Float32, 2, 64, 16384, 1024, 64));
        DnnTensor.Create(context, DnnDataType.Float32, 1, 1, 1, int.MaxValue, 1).Dispose();
    }

    [Fact]
    public void Refused_extents_are_named()
    {
        using CudaContext context = CudaMachine.Open();
        CudaMachine.Require(CudaLibrary.Dnn);
        using DnnHandle dnn = DnnHandle.Create(context);
        using DnnTensor x = DnnTensor.Create(context, DnnDataType.Float32, 1, 8, 6, 5, 8);
        using DnnTensor y = DnnTensor.Create(context, DnnDataType.Float32, 1, 16, 99, 5, 16);
        using DnnFilter w = DnnFilter.Create(context, DnnDataType.Float32, 16, 8, 3, 3);
        using DnnConvolution convolution = DnnConvolution.Create(context, 1, 1, DnnMathType.Fma);
        CudaException failure = Assert.Throws<CudaException>(() => dnn.ForwardWorkspace(new DnnShape(x, w, convolution, y), 1));
        Assert.Equal("cudnnGetConvolutionForwardWorkspaceSize", failure.Function);
        Assert.Contains("1 x 16 x 99 x 5", failure.Message, StringComparison.Ordinal);
    }

    private static DeviceMemory Upload(CudaContext context, CudaStream stream, float[] values)
    {
        DeviceMemory memory = DeviceMemory.Allocate(context, values.Length * 4L, stream);
        stream.CopyToDeviceAndWait<float>(memory.Pointer, values);
        return memory;
    }

    private static float[] Download(CudaStream stream, DeviceMemory memory, int count)
    {
        float[] values = new float[count];
        stream.CopyToHostAndWait<float>(values, memory.Pointer);
        return values;
    }

    /// <summary>Integers from -3 to 3; the seed is fixed, and what a failing assertion prints is enough to find the place.</summary>
    private static IEnumerable<float> Integers(int count)
    {
        Random random = new(Seed + count);
        for (int i = 0; i < count; i++)
        {
            yield return random.Next(-3, 4);
        }
    }

    private static double[] Transform(float[] values, int height, int width, int batch)
    {
        double[] result = new double[values.Length];
        int plane = height * width;
        for (int i = 0; i < batch * plane; i++)
        {
            (int image, int v, int u) = (i / plane, i / width % height, i % width);
            for (int j = 0; j < plane; j++)
            {
                (double sin, double cos) = Math.SinCos(-2 * Math.PI * (((double)v * (j / width) / height) + ((double)u * (j % width) / width)));
                (double re, double im) = (values[2 * ((image * plane) + j)], values[(2 * ((image * plane) + j)) + 1]);
                result[2 * i] += (re * cos) - (im * sin);
                result[(2 * i) + 1] += (re * sin) + (im * cos);
            }
        }

        return result;
    }

    private static void Near(double[] expected, float[] actual)
    {
        double largest = expected.Max(Math.Abs);
        for (int i = 0; i < expected.Length; i++)
        {
            Assert.InRange(Math.Abs(expected[i] - actual[i]), 0, 1e-5 * largest);
        }
    }
}
